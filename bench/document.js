// npm run bench:document [-- FILE]: writes what bench/baseline.json holds into docs/benchmarks.md, between its markers: the
// counts, every row with a target by the issue that set it, then each workload's table.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatNumber, formatTable } from './harness/report.js';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const [source = at('baseline.json')] = process.argv.slice(2);
const page = at('../docs/benchmarks.md');
const [BEGIN, END] = ['<!-- bench:document -->', '<!-- /bench:document -->'];

const { machine, results } = JSON.parse(readFileSync(source, 'utf8'));

/** @param {import('./harness/report.js').Row & { workload: string }} row */
function scoreLine({ issue, workload, name, result, unit, target, verdict }) {
  const bound = target.atLeast === undefined ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`;
  return `| ${issue ?? ''} | ${workload}: ${name} | ${formatNumber(result)} ${unit} | ${bound} | ${verdict} |`;
}

const rowsOfAll = results.flatMap(({ name: workload, rows }) => rows.map((row) => ({ ...row, workload })));
const targets = rowsOfAll.filter((row) => row.target).sort((a, b) => (a.issue ?? 0) - (b.issue ?? 0));
/** What a run counts and does not time. */
const counts = rowsOfAll.filter(({ name, unit }) => unit === 'requests' || /^(GETs|bytes|LISTs|hits) /.test(name));
const countLine = ({ workload, name, result, unit }) => `| ${workload}: ${name} | ${formatNumber(result)} ${unit} |`;
const missed = targets.filter((row) => row.verdict === 'missed').length;
const loads = results.map(({ loadBefore }) => loadBefore).filter((load) => load !== undefined);

const tables = results.flatMap(({ name, title, commit, loadBefore, rows, missing, failure }) => [
  `### ${name}: ${title}`,
  `Commit ${commit}, load of the minute before ${formatNumber(loadBefore)}.`,
  formatTable(rows),
  ...missing.map((reason) => `Missing: ${reason}.`),
  ...(failure ? [`Failed: ${failure}.`] : []),
]);
const text = [
  BEGIN,
  '## Counts',
  ['| what | result |', '| --- | --- |', ...counts.map(countLine)].join('\n'),
  '## Targets',
  `${targets.length} rows have a target: ${targets.length - missed} met, ${missed} missed.`,
  ['| issue | what | result | target | |', '| --- | --- | --- | --- | --- |', ...targets.map(scoreLine)].join('\n'),
  '## Results',
  `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, kernel ${machine.kernel}, Node ${machine.node}; ` +
    `load of the minute before a workload ${formatNumber(Math.min(...loads))} to ${formatNumber(Math.max(...loads))}.`,
  ...tables,
  END,
].join('\n\n');

const before = readFileSync(page, 'utf8');
const [from, to] = [before.indexOf(BEGIN), before.indexOf(END)];
if (from < 0 || to < 0) throw new Error(`${page} has no ${BEGIN} … ${END}`);
writeFileSync(page, before.slice(0, from) + text + before.slice(to + END.length));
