// Before and after in one run: this tree against another built checkout of seekfs, named by SEEKFS_BENCH_BEFORE, on the
// paths that were profiled. Not part of a run of everything unless that is set.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSeededFile } from '../harness/data.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import { Missing, need, s3Origin } from '../harness/peers.js';
import { quote, run } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';
import { median } from '../harness/statistics.js';

export const title = 'this tree against an earlier one, in turn';

const BYTES = 256 * 2 ** 20;
const BLOCKS = BYTES / 4096;

export async function measure({ directory, pairs, row, part }) {
  const before = process.env.SEEKFS_BENCH_BEFORE;
  if (!before) throw new Missing('SEEKFS_BENCH_BEFORE (a built checkout of an earlier seekfs) is not set');
  const bin = join(before, 'bin/run.js');
  const file = writeSeededFile(join(directory, 'big.bin'), { bytes: BYTES, seed: 8 });
  const trees = (options) => [
    new Seekfs(join(directory, 'after'), options),
    new Seekfs(join(directory, 'before'), { ...options, bin }),
  ];
  const rowOf = (name, measured, of, better) =>
    row({
      name: `${name}, after / before`,
      unit: 'ratio',
      ...ratioOf(measured, of),
      better,
      detail: { after: median(measured.a.map(of)), before: median(measured.b.map(of)) },
    });

  for (const [tier, config] of [
    ['L1', '[cache]\nl1_memory_gib = 0.5\n[read]\nmemory_mib = 1280\n'],
    ['L2', '[cache]\nl1_memory_gib = 0\n'],
  ]) {
    await part(() => underLoad({ trees: trees({ config }), tier, directory, file, pairs, rowOf }));
  }

  const local = trees({});
  for (const tree of local) {
    await tree.run(`put dev ${quote(file)}`);
    await tree.run('cat dev big.bin', { cache: join(directory, 'cache'), into: 'wc -c' });
  }
  const warm = local.map(
    (tree) => () => tree.run('cat dev big.bin --at 1', { cache: join(directory, 'cache'), into: 'wc -c' }),
  );
  const cats = await alternate({ pairs }, warm[0], warm[1]);
  rowOf('wall time of a warm cat of 256 MiB', cats, (sample) => sample.wallMs, 'less');
  rowOf('processor time of a warm cat of 256 MiB', cats, (sample) => sample.cpuSeconds, 'less');
  const list = local.map((tree) => () => tree.run('ls dev', { cache: join(directory, 'cache') }));
  const lists = await alternate({ pairs: pairs * 2 }, list[0], list[1]);
  rowOf('wall time of ls', lists, (sample) => sample.wallMs, 'less');

  await part(() => coldFromS3({ directory, file, bin, pairs, rowOf }));
}

async function underLoad({ trees, tier, directory, file, pairs, rowOf }) {
  const wrk = need('wrk');
  const lua = join(directory, 'load.lua');
  writeFileSync(
    lua,
    `request = function()
       local off = math.random(0, ${BLOCKS - 1}) * 4096
       return wrk.format("GET", nil, { ["Range"] = "bytes=" .. off .. "-" .. (off + 4095) })
     end
     done = function(summary) io.write(string.format("rate %f\\n", summary.requests / summary.duration * 1e6)) end`,
  );
  const servers = [];
  try {
    for (const [index, tree] of trees.entries()) {
      const cache = join(directory, `cache-${tier}-${index}`);
      await tree.run(`put dev ${quote(file)}`, { cache });
      servers.push(await tree.serve({ cache }));
      await run(`curl -sf '${servers[index].url}/blob?ns=dev&path=big.bin' | wc -c`);
    }
    const load = async ({ url }) => {
      const { stdout } = await run(`${wrk} -t1 -c16 -d2s -s ${lua} '${url}/blob?ns=dev&path=big.bin'`);
      return Number(/rate ([\d.]+)/.exec(stdout)[1]);
    };
    const measured = await alternate(
      { pairs },
      () => load(servers[0]),
      () => load(servers[1]),
    );
    rowOf(`rate of warm 4 KiB ranges from ${tier}`, measured, (rate) => rate, 'more');
  } finally {
    for (const server of servers) await server.stop();
  }
}

async function coldFromS3({ directory, file, bin, pairs, rowOf }) {
  const origin = await s3Origin('seekfs-bench-before');
  try {
    const target = `s3://${origin.bucket}/namespaces/dev/files/big.bin`;
    await run(`aws --endpoint-url ${origin.endpoint} s3 cp ${quote(file)} ${target}`, origin);
    await new Seekfs(join(directory, 'publisher'), { s3: origin, engine: 'sdk' }).run('manifest gen dev');
    const after = new Seekfs(join(directory, 's3-after'), { s3: origin });
    const before = new Seekfs(join(directory, 's3-before'), { s3: origin, bin });
    let round = 0;
    const cold = (tree) => async () => {
      const cache = join(directory, `cold-${(round += 1)}`);
      const sample = await tree.run('cat dev big.bin', { cache, into: 'wc -c' });
      await run(`rm -rf ${quote(cache)}`);
      return sample;
    };
    const measured = await alternate({ pairs }, cold(after), cold(before));
    rowOf('wall time of a cold cat of 256 MiB from S3', measured, (sample) => sample.wallMs, 'less');
    rowOf('processor time of it', measured, (sample) => sample.cpuSeconds, 'less');
  } finally {
    await origin.remove();
  }
}
