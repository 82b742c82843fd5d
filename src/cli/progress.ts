// Progress bars on stderr: bytes, rate, time left, GETs. A command only says how far it is; drawing is bounded to a few
// times a second, and cli-progress is loaded only where a bar is shown.
import type { SingleBar } from 'cli-progress';
import type { Metrics } from '../lib/base/metrics.ts';
import { formatBytes, formatDuration } from '../lib/base/units.ts';

export interface Progress {
  /** Sets what is known: bytes done, bytes in all (undefined: not known yet), and a word on what is happening. */
  update(state: {
    readonly doneBytes: number;
    readonly totalBytes?: number | undefined;
    readonly note?: string | undefined;
  }): void;
  /** Removes the bar; harmless when there is none. */
  stop(): void;
}

const REDRAW_MS = 200;
/** Shorter commands show no bar. */
const FIRST_DRAW_MS = 300;

interface State {
  doneBytes: number;
  totalBytes?: number | undefined;
  note?: string | undefined;
}

/** What the line says; pure, for the test. */
export function progressText(state: State, elapsedMs: number, gets: number): string {
  const rate = state.doneBytes / Math.max(elapsedMs / 1000, 0.001);
  const parts = [
    state.totalBytes === undefined
      ? formatBytes(state.doneBytes)
      : `${formatBytes(state.doneBytes)} of ${formatBytes(state.totalBytes)}`,
    `${formatBytes(Math.round(rate))}/s`,
  ];
  if (state.totalBytes !== undefined && rate > 0) {
    parts.push(`${formatDuration(((state.totalBytes - state.doneBytes) / rate) * 1000)} left`);
  }
  parts.push(`${gets} GETs`);
  if (state.note) parts.push(state.note);
  return parts.join(' · ');
}

/** @returns a bar on stderr, drawn from `FIRST_DRAW_MS` on */
export function progressBar(metrics: Metrics): Progress {
  const startedMs = performance.now();
  let state: State = { doneBytes: 0 };
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  let bar: SingleBar | undefined;
  const draw = async (): Promise<void> => {
    if (!bar) {
      const { default: cliProgress } = await import('cli-progress');
      if (isStopped) return;
      bar = new cliProgress.SingleBar({
        format: '{bar} {text}',
        barsize: 24,
        barCompleteChar: '█',
        barIncompleteChar: '░',
        hideCursor: null,
        clearOnComplete: true,
        noTTYOutput: true,
        notTTYSchedule: 2000,
        linewrap: false,
      });
      bar.start(1, 0, { text: '' });
    }
    const share = state.totalBytes ? Math.min(1, state.doneBytes / state.totalBytes) : 0;
    bar.update(share, {
      text: progressText(state, performance.now() - startedMs, metrics.get('seekfs_store_gets_total')),
    });
  };
  const tick = (): void => {
    void draw();
    timer = setTimeout(tick, REDRAW_MS).unref();
  };
  timer = setTimeout(tick, FIRST_DRAW_MS).unref();
  return {
    update: (next) => {
      state = next;
    },
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
      bar?.stop();
    },
  };
}
