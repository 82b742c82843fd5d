// npm run bench:compare [-- NEW.json [OLD.json]]: the last run against bench/baseline.json. Says what became worse by
// more than the spread of both, and exits 1 then. Only ratios and counts are compared: they carry over between machines.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatNumber, moreIsBetter } from './harness/report.js';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const [newer = at('results/latest.json'), older = at('baseline.json')] = process.argv.slice(2);
const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
const [now, before] = [read(newer), read(older)];

const rowsOf = (run) =>
  new Map(run.results.flatMap(({ name, rows }) => rows.map((row) => [`${name}: ${row.name}`, row])));
const isExact = (row) => row.unit === 'requests' || row.unit === 'bytes';
const comparable = (row) => row.unit === 'ratio' || row.count === undefined;
/** What one measurement says of itself: nothing, so a tenth either way is no news. */
const SINGLE_SPREAD_SHARE = 0.1;
const spreadOf = (row) => (isExact(row) || row.count !== undefined ? 0 : Math.abs(row.result) * SINGLE_SPREAD_SHARE);
const baseline = rowsOf(before);
let worse = 0;
for (const [name, row] of rowsOf(now)) {
  const old = baseline.get(name);
  if (!old || !comparable(row)) continue;
  const oldLeast = (old.least ?? old.result) - spreadOf(old);
  const oldGreatest = (old.greatest ?? old.result) + spreadOf(old);
  // Worse than anything that was seen before, and not by one bad pair: the median is.
  const isWorse = moreIsBetter(row) ? row.result < oldLeast : row.result > oldGreatest;
  const isBetter = moreIsBetter(row) ? row.result > oldGreatest : row.result < oldLeast;
  if (isWorse) worse += 1;
  if (isWorse || isBetter) {
    const change = `${formatNumber(old.result)} → ${formatNumber(row.result)} ${row.unit}`;
    console.log(
      `${isWorse ? 'worse ' : 'better'}  ${name}: ${change} (was ${formatNumber(oldLeast)}–${formatNumber(oldGreatest)})`,
    );
  }
}
const gone = [...baseline.keys()].filter(
  (name) => now.results.some((each) => name.startsWith(`${each.name}: `)) && !rowsOf(now).has(name),
);
for (const name of gone) console.log(`gone    ${name}`);
console.log(`${worse} worse than ${before.machine.commit} beyond its spread`);
process.exitCode = worse > 0 ? 1 : 0;
