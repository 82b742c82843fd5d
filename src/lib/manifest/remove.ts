// `rm`: publishes a version without the paths. Their objects stay until gc finds that no kept version names them.
import { SeekfsError } from '../base/errors.ts';
import { namespaceNotFound } from './head.ts';
import { checkPath } from './key-layout.ts';
import { publish, type PublishDeps, type PublishReport } from './publisher.ts';

/**
 * Takes files out of the namespace; a path that ends in a slash stands for everything under it.
 * @throws usage, namespace_not_found, path_not_found (before anything changes), unsafe_store, version_conflict
 */
export async function removeFiles(
  deps: PublishDeps,
  options: { ns: string; paths: readonly string[]; signal?: AbortSignal | undefined },
): Promise<PublishReport> {
  const { ns, paths, signal } = options;
  if (paths.length === 0) throw new SeekfsError('usage', 'rm needs a path');
  for (const path of paths) checkPath(path.replace(/\/$/, ''));
  let isFirst = true;
  return publish(deps, {
    ns,
    signal,
    plan: async (base) => {
      if (!base) throw namespaceNotFound(ns, deps.store);
      const removals: string[] = [];
      for (const path of paths) {
        if (path.endsWith('/')) {
          const before = removals.length;
          for await (const entry of base.list({ prefix: path })) removals.push(entry.path);
          if (isFirst && removals.length === before) {
            throw new SeekfsError('path_not_found', `version ${base.version} of ${ns} has no file under ${path}`);
          }
        } else {
          // On a version that won a race the file may be gone already, which is what was wanted.
          if (isFirst) await base.lookup(path);
          removals.push(path);
        }
      }
      isFirst = false;
      return { upserts: [], removals };
    },
  });
}
