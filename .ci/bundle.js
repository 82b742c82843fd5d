// Makes one module of dist/cli/start.js, one of what every command that it runs opens, one of what S3 takes, and one of each
// part that is imported seldom: in files of their own, the hundred modules of a warm `cat` take a third of its time to load, and
// comments and long names are a tenth of a cold one's. dist keeps those as well, for oclif's commands, workers and the library.
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
// Each file costs a millisecond to find and load: what two parts share goes to the one that is loaded anyway.
const groups = [
  { name: 'open', test: /dist\/(lib\/open|cli\/stdout)\.js$/, priority: 2 },
  { name: 's3', test: /dist\/lib\/objectstore\/s3-store\.js$/, priority: 1 },
];
await bundle.write({
  dir: made,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: '[name]-[hash].js',
  codeSplitting: { groups },
  minify: true,
});
await bundle.close();
