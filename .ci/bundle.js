// Makes one script of dist/cli/start.js and what most commands that it runs open, and one of each part that is wanted seldom: in
// files of their own, the hundred modules of a warm `cat` take a third of its time to load. CommonJS, which Node loads at once.
// dist keeps the modules as well, for oclif's commands, workers and the library.
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const made = `${dist}lean`;

const bundle = await rolldown({
  input: `${dist}cli/start.js`,
  platform: 'node',
  // What is imported later may lie in the file that is there already.
  checks: { ineffectiveDynamicImport: false },
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
// S3 too: a file costs more to find than this one to parse.
const often = /dist\/(cli\/(start|stdout|short-run)|lib\/open|lib\/objectstore\/s3-store)\.js$/;
await bundle.write({
  dir: made,
  format: 'cjs',
  entryFileNames: '[name].cjs',
  chunkFileNames: '[name].cjs',
  codeSplitting: { groups: [{ name: 'often', test: often }] },
  minify: true,
});
await bundle.close();
