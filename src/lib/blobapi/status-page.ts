// The status page at "/": one HTML document with its style and script inside, and the policy that lets nothing else run.
import { createHash } from 'node:crypto';
import { STATUS_SCRIPT } from './status-script.ts';
import { STATUS_STYLE } from './status-style.ts';

const digest = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

export const STATUS_PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${digest(STATUS_SCRIPT)}`,
  `style-src ${digest(STATUS_STYLE)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const meter = (id: string, title: string): string =>
  `<div class="meter"><div class="row"><span>${title}</span><span id="${id}-text" class="num"></span></div>` +
  `<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label="${title}">` +
  `<rect class="back" width="100" height="4"/><rect id="${id}" class="fill" height="4"/></svg></div>`;

export const STATUS_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>seekfs</title>
<link rel="icon" href="data:,">
<style>${STATUS_STYLE}</style>
</head>
<body>
<header>
<h1>seekfs</h1><span id="state" class="state" role="status">loading</span>
<p id="where"></p>
</header>
<form id="login" hidden>
<label for="token">This server wants a token for all namespaces</label>
<input id="token" type="password" autocomplete="off" spellcheck="false"><button>Show</button>
</form>
<main id="main" hidden>
<section class="wide"><h2>Throughput</h2>
<svg id="chart" viewBox="0 0 600 120" preserveAspectRatio="none" role="img" aria-label="bytes a second by tier, the last two minutes"></svg>
<ul class="legend"><li><i class="l1"></i>memory <b id="rate-l1" class="num"></b></li><li><i class="l2"></i>disk <b id="rate-l2" class="num"></b></li><li><i class="store"></i>store <b id="rate-store" class="num"></b></li></ul>
</section>
<section><h2>Hit rate</h2><p class="big num" id="hit"></p>
<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label="hit rate against the best possible"><rect class="back" width="100" height="4"/><rect id="hit-bar" class="fill" height="4"/><rect id="hit-best" class="mark" width="1" height="4"/></svg>
<p class="small" id="hit-note"></p></section>
<section><h2>GETs</h2><p class="big num" id="gets"></p><p class="small" id="gets-note"></p>${meter('budget', 'budget in use')}</section>
<section><h2>Bounds</h2>${meter('memory', 'memory')}${meter('l1', 'L1')}${meter('l2', 'L2, with what is reserved')}<p class="small" id="process"></p></section>
<section class="wide"><h2>Namespaces</h2><div class="scroll"><table><thead><tr><th>namespace</th><th class="n">version</th><th class="n">files</th><th class="n">bytes</th><th class="digest">manifest</th></tr></thead><tbody id="versions"></tbody></table></div></section>
<section class="wide"><h2>Residency</h2><p class="small">each cell is a part of a file; what is coloured is cached</p><div id="files"></div></section>
<section class="wide"><h2>Recent errors</h2><div id="errors"></div></section>
</main>
<script>${STATUS_SCRIPT}</script>
</body>
</html>
`;
