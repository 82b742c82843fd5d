// Makes one module of dist/cli/start.js and what it imports (and one of each part that is imported later, if at all): in
// files of their own, the hundred modules of a warm `cat` take a third of its time to load. dist keeps those as well, for
// oclif's commands, for workers and for importers of the library.
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const made = `${dist}lean`;

const bundle = await rolldown({
  input: `${dist}cli/start.js`,
  platform: 'node',
  // Packages stay packages, and oclif's commands must meet the same instances of the modules that they share with oclif.js.
  external: /^[^./]/,
  plugins: [
    {
      name: 'outside',
      resolveId: (source) => (source === './oclif.js' ? { id: '../cli/oclif.js', external: true } : undefined),
      // Workers are found beside the module that starts them, not beside the bundle.
      transform: (code, id) => {
        const origin = relative(made, id);
        return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(origin)}, import.meta.url).href`);
      },
    },
  ],
});
await bundle.write({ dir: made, format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' });
await bundle.close();
