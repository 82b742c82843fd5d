// (d) Cold reads through the library from the in-process origin at 25 ms, against a bare undici loop over the same ranges:
// 256 KiB extents in shuffled order with 128 GETs in flight, and the time to the first byte of a range.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSeededFile } from '../harness/data.js';
import { publishTo, startOrigin } from '../harness/origin.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import { quote, run } from '../harness/process.js';
import { median, quantile, summary } from '../harness/statistics.js';

export const title =
  'cold readv of shuffled 256 KiB extents and time to first byte at 25 ms, against a bare undici loop';
/** That set its targets. */
export const issue = 4;

const FILE_BYTES = 384 * 2 ** 20;
/** More than all memory of the reader: what it writes to its cache must keep up. */
const LARGE_FILE_BYTES = 1408 * 2 ** 20;
const LARGE_PAIRS_MAX = 3;
const BYTES = 256 * 1024;
const LATENCY_MS = 25;
const IN_FLIGHT = 128;
const READER = fileURLToPath(new URL('../harness/cold-reader.js', import.meta.url));

export async function measure({ directory, pairs, row }) {
  await publishTo(directory, [
    writeSeededFile(join(directory, 'big.bin'), { bytes: FILE_BYTES, seed: 6 }),
    writeSeededFile(join(directory, 'large.bin'), { bytes: LARGE_FILE_BYTES, seed: 7 }),
  ]);
  const origin = await startOrigin(directory, { latencyMs: LATENCY_MS });
  const config = join(directory, 'cold.toml');
  // Neighbours are not fetched together: it is the GETs in flight that are measured.
  writeFileSync(
    config,
    `[s3]\nengine = "undici"\nendpoint = "${origin.endpoint}"\naccess_key_id = "key"\nsecret_access_key = "secret"\n` +
      `get_budget_per_sec = 100000\nmax_inflight_gets = ${IN_FLIGHT}\nrange_coalesce_max_mib = 0.25\nrange_coalesce_gap_kib = 0\n`,
  );
  const read = async (by, { path = 'big.bin', fileBytes = FILE_BYTES, reads = fileBytes / BYTES, ...options } = {}) => {
    const cache = join(directory, 'cache');
    const file = { key: `namespaces/dev/files/${path}`, path, fileBytes, bytes: BYTES, reads };
    const common = { config, cache, endpoint: origin.endpoint, inFlight: IN_FLIGHT };
    const text = JSON.stringify({ ...common, ...file, by, ...options });
    const { stdout, cpuSeconds } = await run(`${quote(process.execPath)} ${quote(READER)} ${quote(text)}`);
    rmSync(cache, { recursive: true, force: true });
    return { ...JSON.parse(stdout), cpuSeconds };
  };
  try {
    const rates = await alternate(
      { pairs },
      () => read('seekfs'),
      () => read('undici'),
    );
    const allowed = (IN_FLIGHT * BYTES) / 2 ** 20 / (LATENCY_MS / 1000);
    row({
      name: `readv of 256 KiB extents, ${IN_FLIGHT} in flight`,
      unit: 'MiB/s',
      ...summary(rates.a.map(({ mibPerSecond }) => mibPerSecond)),
      target: { atLeast: Math.min(500, 0.9 * allowed) },
      detail: { bareMibPerSecond: median(rates.b.map(({ mibPerSecond }) => mibPerSecond)), allowed },
    });
    row({
      name: 'the same / bare undici loop',
      unit: 'ratio',
      ...ratioOf(rates, ({ mibPerSecond }) => mibPerSecond),
      better: 'more',
    });
    const large = { path: 'large.bin', fileBytes: LARGE_FILE_BYTES };
    const sustained = await alternate(
      { pairs: Math.min(pairs, LARGE_PAIRS_MAX) },
      () => read('seekfs', large),
      () => read('undici', large),
    );
    row({
      name: `the same of ${LARGE_FILE_BYTES / 2 ** 20} MiB`,
      unit: 'MiB/s',
      ...summary(sustained.a.map(({ mibPerSecond }) => mibPerSecond)),
      better: 'more',
      detail: {
        bareMibPerSecond: median(sustained.b.map(({ mibPerSecond }) => mibPerSecond)),
        cpuSeconds: median(sustained.a.map(({ cpuSeconds }) => cpuSeconds)),
      },
    });
    const firsts = await alternate(
      { pairs },
      () => read('seekfs', { reads: 60, firstByte: true }),
      () => read('undici', { reads: 60, firstByte: true }),
    );
    const added = firsts.a.map(({ latenciesMs }, index) => median(latenciesMs) - median(firsts.b[index].latenciesMs));
    row({
      name: 'time to first byte of a 256 KiB range, over the bare client',
      unit: 'ms',
      ...summary(added),
      target: { atMost: 2 },
      detail: {
        medianMs: median(firsts.a.flatMap(({ latenciesMs }) => latenciesMs)),
        p95Ms: quantile(
          firsts.a.flatMap(({ latenciesMs }) => latenciesMs),
          0.95,
        ),
        bareMedianMs: median(firsts.b.flatMap(({ latenciesMs }) => latenciesMs)),
      },
    });
  } finally {
    await origin.stop();
  }
}
