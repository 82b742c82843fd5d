// vitest's setupFiles: fast-check begins at the same seed in every run, so that a change is judged by itself, not by chance.
import * as fc from 'fast-check';
import { askedSeed } from './seed.ts';

fc.configureGlobal({ seed: askedSeed(1) });
