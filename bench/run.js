// npm run bench [-- NAME…] [--pairs N] [--out FILE] [--merge]: runs the named workloads, or all, prints their tables and
// writes everything as JSON; with --merge beside what FILE holds of other workloads. Each workload is one file of
// bench/workloads with `title`, `issue` and `measure(context)`.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from './harness/machine.js';
import { Missing } from './harness/peers.js';
import { formatTable, verdict } from './harness/report.js';

const WORKLOADS = fileURLToPath(new URL('workloads/', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: 'string', default: '5' },
    merge: { type: 'boolean', default: false },
    out: { type: 'string', default: fileURLToPath(new URL('results/latest.json', import.meta.url)) },
  },
});

const known = readdirSync(WORKLOADS)
  .filter((file) => file.endsWith('.js'))
  .map((file) => file.slice(0, -'.js'.length))
  .sort();
const unknown = positionals.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`unknown workload: ${unknown.join(', ')}; known are ${known.join(', ')}`);
  process.exit(2);
}

const machine = describeMachine();
console.log(
  `${machine.cpu}, ${machine.cores} cores, kernel ${machine.kernel}, Node ${machine.node}, ${machine.commit}\n`,
);
const earlier = values.merge && existsSync(values.out) ? JSON.parse(readFileSync(values.out, 'utf8')).results : [];
const results = [];
mkdirSync(dirname(values.out), { recursive: true });
for (const name of positionals.length > 0 ? positionals : known) {
  const { title, issue, measure } = await import(`./workloads/${name}.js`);
  console.log(`## ${name}: ${title}\n`);
  const directory = mkdtempSync(join(tmpdir(), `seekfs-bench-${name}-`));
  const startMs = performance.now();
  /** Of the minute before: over a core or so, others were at work, and only counts mean anything. */
  const loadBefore = Math.round(loadavg()[0] * 100) / 100;
  /** @type {import('./harness/report.js').Row[]} */
  const rows = [];
  /** @type {string[]} */
  const missing = [];
  const context = {
    directory,
    pairs: Number(values.pairs),
    /** Adds a row; a target is of the workload's issue unless it says otherwise. */
    row: (row) => rows.push(row.target ? { issue, ...row } : row),
    /** Runs a part that needs a peer; where that is missing, says so and goes on. */
    part: async (body) => {
      try {
        await body();
      } catch (error) {
        if (!(error instanceof Missing)) throw error;
        missing.push(error.message);
      }
    },
  };
  let failure;
  try {
    await context.part(() => measure(context));
  } catch (error) {
    failure = error.message;
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
  if (rows.length > 0) console.log(formatTable(rows));
  for (const reason of missing) console.log(`\nmissing: ${reason}`);
  if (failure) console.log(`\nfailed: ${failure}`);
  const seconds = Math.round((performance.now() - startMs) / 1000);
  console.log(`\n${seconds} s\n`);
  results.push({
    name,
    title,
    commit: machine.commit,
    date: new Date().toISOString(),
    loadBefore,
    seconds,
    rows: rows.map((row) => ({ ...row, verdict: verdict(row) })),
    missing,
    failure,
  });
  // After each, so that a run that is broken off is not lost.
  const others = earlier.filter((each) => !results.some((result) => result.name === each.name));
  const all = [...others, ...results].sort((a, b) => a.name.localeCompare(b.name));
  writeFileSync(values.out, `${JSON.stringify({ machine, results: all }, undefined, 2)}\n`);
}
process.exitCode = results.some((result) => result.failure) ? 1 : 0;
