// Positional arguments of commands. Each ignores stdin: oclif would take an argument that is missing from there, and eat
// the input of a shell loop.
import { custom, string } from '@oclif/core/args';
import { parseVersionNumber } from './values.ts';

const ignoreStdin = true;

export const nsArg = string({ required: true, ignoreStdin, description: 'namespace' });
export const optionalNsArg = string({ ignoreStdin, description: 'namespace' });
export const pathArg = string({ required: true, ignoreStdin, description: 'path of a file in the manifest' });
export const optionalPathArg = string({ ignoreStdin, description: 'path of one file' });
export const prefixArg = string({ ignoreStdin, description: 'prefix of paths' });
export const pinNameArg = string({ required: true, ignoreStdin, description: 'name of the pin' });
export const destinationArg = string({ required: true, ignoreStdin, description: 'file or directory' });
export const versionArg = custom<number>({ parse: async (text) => parseVersionNumber(text) })({
  required: true,
  ignoreStdin,
  description: 'version: 3, v3 or v-3',
});

/** Any number of words, one at least where they are required. */
export const pathsArg = string({ multiple: true, ignoreStdin, description: 'paths, prefixes or globs; default: all' });
export const sourcesArg = string({ multiple: true, required: true, ignoreStdin, description: 'files or directories' });
export const removedArg = string({ multiple: true, required: true, ignoreStdin, description: 'paths of files' });
export const extentsArg = string({ multiple: true, ignoreStdin, description: 'PATH:OFF:LEN; sizes may have a unit' });
