// Which proxy leads to an endpoint, as the environment says it for every other tool. Pure.

type Environment = Readonly<Record<string, string | undefined>>;

/** Endpoints on this machine are never behind a proxy. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

function either(env: Environment, name: string): string | undefined {
  return env[name.toLowerCase()] || env[name] || undefined;
}

/** "a.example,.b.example:8080,*": the host itself, or what ends in it, with that port where one is named. */
function isExempt(endpoint: URL, noProxy: string): boolean {
  const port = endpoint.port || (endpoint.protocol === 'https:' ? '443' : '80');
  return noProxy
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      const [, host = entry, itsPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (itsPort !== undefined && itsPort !== port) return false;
      const domain = host.replace(/^\*?\./, '').toLowerCase();
      return endpoint.hostname === domain || endpoint.hostname.endsWith(`.${domain}`);
    });
}

/** The value of HTTPS_PROXY or HTTP_PROXY (or in small letters) that applies, or undefined: go there directly. */
export function proxyFor(endpoint: string, env: Environment): string | undefined {
  const url = new URL(endpoint);
  if (LOOPBACK.test(url.hostname) || isExempt(url, either(env, 'NO_PROXY') ?? '')) return undefined;
  const proxy = either(env, url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY') ?? either(env, 'ALL_PROXY');
  if (proxy === undefined) return undefined;
  return /^https?:\/\//.test(proxy) ? proxy : `http://${proxy}`;
}
