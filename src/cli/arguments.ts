// Positional arguments that many commands share.
import { custom, string } from '@oclif/core/args';
import { parseVersionNumber } from './values.ts';

export const nsArg = string({ required: true, description: 'namespace' });
export const pathArg = string({ required: true, description: 'path of a file in the manifest' });
export const versionArg = custom<number>({ parse: async (text) => parseVersionNumber(text) })({
  required: true,
  description: 'version: 3, v3 or v-3',
});
