// Who holds a lock: enough to tell whether that process still runs. Linux gives all of it from /proc; elsewhere the
// fields that cannot be known are empty and only the process number counts.
import { randomBytes } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { systemErrorCode } from '../base/errors.ts';

export interface ProcessIdentity {
  /** Random, new at every boot of the machine; empty where unknown. */
  readonly bootId: string;
  /**
   * Containers have their own: process numbers compare only within one. A name that nobody else has where /proc shows
   * another namespace than the process is in (`unshare -p` without a /proc of its own): it cannot look up its neighbours.
   */
  readonly pidNamespace: string;
  readonly pid: number;
  /** Clock ticks since boot at its start, because process numbers are used again; empty where unknown. */
  readonly startTime: string;
}

/** An identity that some process wrote down, or undefined where the value is none. */
export function parseProcessIdentity(value: unknown): ProcessIdentity | undefined {
  const { bootId, pidNamespace, pid, startTime } = (value ?? {}) as Partial<Record<keyof ProcessIdentity, unknown>>;
  if (typeof bootId !== 'string' || typeof pidNamespace !== 'string') return undefined;
  if (!Number.isSafeInteger(pid) || (pid as number) < 1) return undefined;
  return { bootId, pidNamespace, pid: pid as number, startTime: typeof startTime === 'string' ? startTime : '' };
}

interface ProcessStatus {
  readonly state: string;
  readonly startTime: string;
}

async function readProcessStatus(pid: number | 'self'): Promise<ProcessStatus | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined);
  if (text === undefined) return undefined;
  // The command's name may hold spaces and parentheses: the fields begin after the last one. proc(5): 3 state, 22 starttime.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', startTime: fields[19] ?? '' };
}

let current: Promise<ProcessIdentity> | undefined;

/** This process; read once. */
export function currentProcess(): Promise<ProcessIdentity> {
  current ??= (async () => ({
    bootId: (await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => '')).trim(),
    pidNamespace: await pidNamespace(),
    pid: process.pid,
    startTime: (await readProcessStatus('self'))?.startTime ?? '',
  }))();
  return current;
}

async function pidNamespace(): Promise<string> {
  const name = await readlink('/proc/self/ns/pid').catch(() => '');
  const shown = await readlink('/proc/self').catch(() => '');
  return shown === '' || Number(shown) === process.pid ? name : `${name}?${randomBytes(8).toString('hex')}`;
}

/** Who this process is and who else runs: a seam, so that a test can stand in for processes that die. */
export interface Processes {
  current(): Promise<ProcessIdentity>;
  isRunning(identity: ProcessIdentity): Promise<boolean>;
}

export const systemProcesses: Processes = {
  current: () => currentProcess(),
  isRunning: (identity) => isRunning(identity),
};

/** May this process be asked about that one by its number? */
export function sharesProcessNumbers(self: ProcessIdentity, other: ProcessIdentity): boolean {
  return self.bootId === other.bootId && self.pidNamespace === other.pidNamespace;
}

/** Does a process of this very identity run? Only meaningful where `sharesProcessNumbers`. A zombie does not run. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    if (systemErrorCode(error) === 'ESRCH') return false;
  }
  const status = await readProcessStatus(identity.pid);
  if (!status) return identity.startTime === '';
  return status.startTime === identity.startTime && status.state !== 'Z' && status.state !== 'X';
}
