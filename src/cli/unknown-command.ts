// What oclif calls when there is no such command: the error, with the command that was most likely meant.
import type { Hook } from '@oclif/core/hooks';
import { SeekfsError } from '../lib/base/errors.ts';
import { nearestOf } from '../lib/base/nearest.ts';

/** @throws usage, always */
export const refuseUnknownCommand: Hook.CommandNotFound = async ({ id, config }) => {
  const [first = '', ...rest] = id.split(':');
  // That takes no argument, or oclif would have found it.
  if (rest.length > 0 && config.commandIDs.includes(first)) {
    throw new SeekfsError('usage', `unexpected argument: ${rest.join(' ')}; see --help`);
  }
  // "manifest:nope" is oclif's way to write "manifest nope".
  const topic = id.slice(0, id.lastIndexOf(':') + 1);
  const words = config.commandIDs.filter((known) => known.startsWith(topic)).map((known) => known.slice(topic.length));
  const near = nearestOf(id.slice(topic.length), words);
  const spaced = (text: string): string => text.replaceAll(':', ' ');
  const advice = near === undefined ? 'see --help' : `did you mean ${spaced(topic + near)}? See --help`;
  throw new SeekfsError('usage', `command ${spaced(id)} not found; ${advice}`);
};
