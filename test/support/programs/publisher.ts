// A process of its own for test/lib/manifest/put.test.ts and its kin: puts files of its own, one version each.
// Arguments: JSON of the store's options, namespace, local directory, names of the files.
import { join } from 'node:path';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { put } from '../../../src/lib/manifest/put.ts';
import { openObjectStore, type StoreOptions } from '../../../src/lib/objectstore/open-object-store.ts';
import { manifestDeps } from '../manifest-deps.ts';

const [options, ns, directory, ...names] = process.argv.slice(2) as [string, string, string, ...string[]];
const store = openObjectStore(JSON.parse(options) as StoreOptions, { metrics: new Metrics() });
for (const name of names) {
  const report = await put(manifestDeps(store), { ns, sources: [join(directory, name)], pageSizeBytes: 65_536 });
  process.send?.({ name, version: report.publish!.version });
}
await store.close();
