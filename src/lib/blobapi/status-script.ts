// The status page's script, as the text that the browser gets: it asks for /status.json every two seconds and draws.
// Names from outside become text nodes only, never markup.
export const STATUS_SCRIPT = String.raw`
'use strict';
const $ = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
const EVERY_MS = 2000, KEPT = 60;
const history = [];
let last, timer;

function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
  return (unit === 0 ? String(Math.round(n)) : n.toFixed(1)) + ' ' + units[unit];
}
const count = (n) => Math.round(n).toLocaleString('en');
const counted = (n, noun) => count(n) + ' ' + noun + (n === 1 ? '' : 's');
const percent = (x) => (100 * x).toFixed(1) + ' %';
function text(id, value) { $(id).textContent = value; }
function node(tag, className, content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}
function drawn(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
function meter(id, used, max, label) {
  $(id).setAttribute('width', max > 0 ? Math.min(100, (100 * used) / max) : 0);
  text(id + '-text', label);
}

function chart() {
  const tiers = ['store', 'l2', 'l1'];
  const top = Math.max(1, ...history.map((at) => at.store + at.l2 + at.l1));
  const x = (index) => 600 - (history.length - 1 - index) * (600 / (KEPT - 1));
  const base = history.map(() => 0);
  const paths = tiers.map((tier) => {
    const under = base.map((value, index) => [x(index), 120 - (115 * value) / top]);
    history.forEach((at, index) => { base[index] += at[tier]; });
    const over = base.map((value, index) => [x(index), 120 - (115 * value) / top]);
    const line = [...over, ...under.reverse()].map((point) => point.map((n) => n.toFixed(1)).join(',')).join('L');
    return drawn('path', { class: tier, d: history.length > 1 ? 'M' + line + 'Z' : '' });
  });
  $('chart').replaceChildren(...paths);
}

function rates(now) {
  if (last && now.at_ms > last.at_ms) {
    const seconds = (now.at_ms - last.at_ms) / 1000;
    const rate = (name) => Math.max(0, now[name] - last[name]) / seconds;
    history.push({ l1: rate('l1_hit_bytes'), l2: rate('l2_hit_bytes'), store: rate('store_bytes'), gets: rate('gets') });
    if (history.length > KEPT) history.shift();
  }
  last = now;
  const at = history.at(-1) || { l1: 0, l2: 0, store: 0, gets: 0 };
  for (const tier of ['l1', 'l2', 'store']) text('rate-' + tier, bytes(at[tier]) + '/s');
  const budget = now.get_budget_per_sec;
  meter('budget', at.gets, budget || 0, budget ? count(at.gets) + ' of ' + count(budget) + ' a second' : 'no budget for this store');
  chart();
}

function versions(list) {
  $('versions').replaceChildren(...list.map((version) => {
    const row = node('tr');
    row.append(node('td', 'name', version.ns), node('td', 'n', 'v-' + version.version), node('td', 'n', count(version.files)),
      node('td', 'n', bytes(version.bytes)), node('td', 'digest', version.digest.slice(0, 19) + '…'));
    return row;
  }));
}

function heat(file) {
  const box = node('div', 'file'), row = node('div', 'row');
  const cached = file.cells.length ? file.cells.reduce((sum, cell) => sum + cell, 0) / file.cells.length : 1;
  row.append(node('span', 'name', file.ns + '/' + file.path),
    node('span', 'num', bytes(file.bytes) + ', ' + percent(cached) + ' cached, ' + counted(file.reads, 'read')));
  const wide = Math.max(1, file.cells.length), gap = Math.min(0.04, wide / 1200);
  const map = drawn('svg', { class: 'heat', viewBox: '0 0 ' + wide + ' 1', preserveAspectRatio: 'none', role: 'img', 'aria-label': percent(cached) + ' cached' });
  map.append(drawn('rect', { class: 'back', width: wide, height: 1 }),
    ...file.cells.map((cell, index) => drawn('rect', { x: index, width: index === wide - 1 ? 1 : 1 - gap, height: 1, 'fill-opacity': cell })));
  box.append(row, map);
  return box;
}

function failure(error) {
  const box = node('div', 'error');
  box.append(node('b', '', error.code), node('time', '', new Date(error.atMs).toLocaleTimeString() + ' ' + error.route + ' ' + error.requestId), node('span', '', error.message));
  return box;
}

function show(now) {
  $('main').hidden = false;
  $('login').hidden = true;
  state('live');
  text('where', now.store + ', cache ' + (now.cache || 'in memory') + ', ' + now.workers + (now.workers === 1 ? ' process' : ' workers'));
  rates(now);
  const hits = now.l1_hit_bytes + now.l2_hit_bytes, all = hits + now.store_bytes;
  text('hit', all === 0 ? '–' : percent(hits / all));
  $('hit-bar').setAttribute('width', all === 0 ? 0 : (100 * hits) / all);
  $('hit-best').setAttribute('x', now.best_hit_rate === null ? 99 : Math.min(99, 100 * now.best_hit_rate));
  text('hit-note', now.best_hit_rate === null ? 'nothing was read yet' : 'best possible for this cache over shuffled epochs: ' + percent(now.best_hit_rate));
  text('gets', count(now.gets));
  text('gets-note', bytes(now.store_bytes) + ' fetched; about ' + counted(now.gets_saved, 'GET') + ' saved' + (now.cost === null ? '' : '; cost ' + now.cost.toPrecision(3) + ', saved ' + now.cost_saved.toPrecision(3)));
  meter('memory', now.memory.used, now.memory.max, bytes(now.memory.used) + ' of ' + bytes(now.memory.max));
  meter('l1', now.l1.used, now.l1.max, bytes(now.l1.used) + ' of ' + bytes(now.l1.max));
  meter('l2', now.l2 ? now.l2.used : 0, now.l2 ? now.l2.max : 0, now.l2 ? bytes(now.l2.used) + ' of ' + bytes(now.l2.max) : 'none');
  text('process', counted(now.requests, 'request') + ', ' + count(now.active) + ' active, ' + counted(now.connections, 'connection') + ', ' + bytes(now.resident_bytes) + ' resident');
  versions(now.versions);
  $('files').replaceChildren(...(now.files.length ? now.files.map(heat) : [node('p', 'small', 'nothing was read yet')]));
  $('errors').replaceChildren(...(now.errors.length ? now.errors.map(failure) : [node('p', 'small', 'none')]));
}

function state(word, isBad) {
  text('state', word);
  $('state').className = isBad ? 'state bad' : 'state';
}

async function refresh() {
  clearTimeout(timer);
  try {
    const token = sessionStorage.getItem('token');
    const answer = await fetch('status.json', { headers: token ? { authorization: 'Bearer ' + token } : {} });
    if (answer.status === 401) {
      state('token needed', true);
      $('login').hidden = false;
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
  } catch {
    state('not answering', true);
  }
  timer = setTimeout(refresh, EVERY_MS);
}
$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem('token', $('token').value);
  refresh();
});
refresh();
`;
