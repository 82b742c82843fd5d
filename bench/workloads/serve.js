// `serve` under load, against nginx with sendfile over the same bytes: wrk with random ranges, one worker each.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom, writeSeededFile } from '../harness/data.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import { need, startBareHttp, startNginx } from '../harness/peers.js';
import { peakBytesOf, quote, run } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';
import { median, summary } from '../harness/statistics.js';

export const title = 'serve under load: warm ranges over 16 connections, nginx in turn';
/** That set its targets. */
export const issue = 6;

const BYTES = 64 * 2 ** 20;
const SECONDS = 2;
const READV_EXTENTS = 64;

/** A script for wrk: random aligned ranges of the file. */
function rangeScript(bytes) {
  return `
    request = function()
      local off = math.random(0, ${BYTES / bytes - 1}) * ${bytes}
      return wrk.format("GET", nil, { ["Range"] = "bytes=" .. off .. "-" .. (off + ${bytes} - 1) })
    end
    ${DONE}`;
}

/** Random readvs, made beforehand: what is measured is the server. */
function readvScript() {
  const random = seededRandom(12);
  const extent = () => ({ path: 'big.bin', off: Math.floor(random() * (BYTES - 4096)), len: 4096 });
  const body = () => JSON.stringify(Array.from({ length: READV_EXTENTS }, extent));
  return `
    local bodies = { ${Array.from({ length: 32 }, () => `'${body()}'`).join(',')} }
    request = function() return wrk.format("POST", nil, {}, bodies[math.random(#bodies)]) end
    ${DONE}`;
}

const DONE = `
    done = function(summary, latency)
      local e = summary.errors
      io.write(string.format('{"requests":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"errors":%d}\\n', summary.requests,
        summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        e.connect + e.read + e.write + e.status + e.timeout))
    end`;

export async function measure({ directory, pairs, row }) {
  const wrk = need('wrk');
  const root = join(directory, 'root');
  const file = writeSeededFile(join(root, 'big.bin'), { bytes: BYTES, seed: 4 });
  const nginx = await startNginx(join(directory, 'nginx'), { root, workers: 1 });
  const keeping = await startNginx(join(directory, 'nginx-keeping'), { root, workers: 1, keepsOpen: true });
  const bare = await startBareHttp(file);
  const load = async (url, script, connections) => {
    const lua = join(directory, 'load.lua');
    writeFileSync(lua, script);
    const { stdout } = await run(`${wrk} -t1 -c${connections} -d${SECONDS}s -s ${lua} ${quote(url)}`);
    const sample = JSON.parse(stdout.slice(stdout.lastIndexOf('{')));
    if (sample.errors > 0) throw new Error(`${sample.errors} failed requests of ${url}`);
    return { ...sample, rate: sample.requests / sample.seconds };
  };
  const loadOf = (server, bytes, connections) => () => load(`${server.url}/big.bin`, rangeScript(bytes), connections);
  try {
    // What the issue takes for granted of Node: 0.75 to 0.95.
    row({
      name: 'rate of 4 KiB ranges from memory by node:http alone / nginx',
      unit: 'ratio',
      ...ratioOf(await alternate({ pairs }, loadOf(bare, 4096, 16), loadOf(nginx, 4096, 16)), (sample) => sample.rate),
      better: 'more',
    });
    await bare.stop();
    for (const [tier, config] of [
      ['L1', '[cache]\nl1_memory_gib = 0.25\n[read]\nmemory_mib = 640\n'],
      ['L2', '[cache]\nl1_memory_gib = 0\n'],
    ]) {
      const seekfs = new Seekfs(join(directory, tier), { config });
      const cache = join(directory, `cache-${tier}`);
      await seekfs.run(`put dev ${quote(file)}`, { cache });
      const server = await seekfs.serve({ cache });
      const url = `${server.url}/blob?ns=dev&path=big.bin`;
      try {
        await run(`curl -sf ${quote(url)} | wc -c`);
        for (const [bytes, connections, atLeast] of [
          [4096, 16, { L1: 0.7, L2: 0.4 }],
          [8 * 2 ** 20, 8, { L1: 1, L2: 0.8 }],
        ]) {
          const measured = await alternate(
            { pairs },
            () => load(url, rangeScript(bytes), connections),
            loadOf(nginx, bytes, connections),
          );
          const size = bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : `${bytes / 1024} KiB`;
          row({
            name: `rate of warm ${size} ranges from ${tier} / nginx`,
            unit: 'ratio',
            ...ratioOf(measured, (sample) => sample.rate),
            target: { atLeast: atLeast[tier] },
            detail: {
              perSecond: median(measured.a.map((sample) => sample.rate)),
              peerPerSecond: median(measured.b.map((sample) => sample.rate)),
            },
          });
          if (bytes !== 4096) continue;
          row({
            name: `p99 of warm ${size} ranges from ${tier} / nginx`,
            unit: 'ratio',
            ...ratioOf(measured, (sample) => sample.p99Ms),
            target: { atMost: 3 },
          });
          row({
            name: `rate of warm ${size} ranges from ${tier} / nginx with open_file_cache`,
            unit: 'ratio',
            ...ratioOf(
              await alternate(
                { pairs },
                () => load(url, rangeScript(bytes), connections),
                loadOf(keeping, bytes, connections),
              ),
              (sample) => sample.rate,
            ),
            better: 'more',
          });
        }
        const readvs = [];
        for (let round = 0; round < pairs; round += 1) {
          readvs.push(await load(`${server.url}/readv?ns=dev`, readvScript(), 16));
        }
        row({
          name: `extents a second of POST /readv of ${READV_EXTENTS} × 4 KiB from ${tier}`,
          unit: 'per second',
          ...summary(readvs.map((sample) => sample.rate * READV_EXTENTS)),
          ...(tier === 'L1' ? { target: { atLeast: 90_000 } } : { better: 'more' }),
          detail: { p99Ms: median(readvs.map((sample) => sample.p99Ms)) },
        });
        row({
          name: `peak memory of serve, ${tier}`,
          unit: 'MiB',
          result: peakBytesOf(server.pid) / 2 ** 20,
          better: 'less',
        });
      } finally {
        await server.stop();
      }
    }
  } finally {
    await Promise.all([nginx.stop(), keeping.stop(), bare.stop()]);
  }
}
