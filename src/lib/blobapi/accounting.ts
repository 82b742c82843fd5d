// What is counted and logged of each request, once, when it is over. Cells are looked up once a route and status, so
// that the hot path adds to numbers. Secrets come in header fields, and none of those is logged.
import type { Clock } from '../base/clock.ts';
import { getCostsOf } from '../base/get-costs.ts';
import type { Logger } from '../base/log.ts';
import type { Cell, Histogram, Metrics } from '../base/metrics.ts';
import type { MemoryGovernor } from '../base/memory.ts';
import type { Exchange } from './exchange.ts';

export interface RequestLog {
  /** Log every request, or only those that failed by our fault or were slow. */
  readonly every: boolean;
  readonly slowMs: number;
}

export const DEFAULT_REQUEST_LOG: RequestLog = { every: false, slowMs: 5000 };

const LAG_EVERY_MS = 100;
const RECENT_ERRORS_MAX = 50;

export interface RecentError {
  readonly atMs: number;
  readonly requestId: string;
  readonly route: string;
  readonly code: string;
  readonly message: string;
}

export class Accounting {
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #requestLog: RequestLog;
  /** By route, then by status. */
  readonly #counts = new Map<string, Map<number, Cell>>();
  readonly #latencies = new Map<string, Histogram>();
  readonly #sentBytes: Cell;
  readonly #connections: Cell;
  readonly #stopCollecting: () => void;
  readonly #lagTimer: NodeJS.Timeout;
  readonly #recentErrors: RecentError[] = [];

  constructor(parts: {
    metrics: Metrics;
    log: Logger;
    clock: Clock;
    memory: MemoryGovernor;
    requestLog: RequestLog;
    /** Undefined: nobody says. */
    pricePer1000Gets: number | undefined;
    active: () => number;
  }) {
    const { metrics, memory } = parts;
    this.#metrics = metrics;
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#requestLog = parts.requestLog;
    this.#sentBytes = metrics.cell('seekfs_http_sent_bytes_total');
    this.#connections = metrics.cell('seekfs_http_connections');
    metrics.cell('seekfs_process_start_time_seconds').value = Math.round(parts.clock.nowMs() / 1000 - process.uptime());
    metrics.cell('seekfs_workers').value = 1;
    this.#stopCollecting = metrics.onCollect(() => {
      metrics.cell('seekfs_http_active_requests').value = parts.active();
      metrics.cell('seekfs_memory_in_use_bytes').value = memory.inUseBytes;
      metrics.cell('seekfs_memory_limit_bytes').value = memory.limitBytes;
      metrics.cell('seekfs_memory_waiting').value = memory.waiting;
      metrics.cell('seekfs_process_resident_bytes').value = process.memoryUsage.rss();
      const { user, system } = process.cpuUsage();
      metrics.cell('seekfs_process_cpu_seconds_total').value = (user + system) / 1e6;
      const { cost, costSaved } = getCostsOf(metrics, parts.pricePer1000Gets ?? 0);
      metrics.cell('seekfs_store_cost_total').value = cost;
      metrics.cell('seekfs_store_cost_saved_total').value = costSaved;
    });
    const lag = metrics.histogram('seekfs_event_loop_lag_seconds');
    let dueMs = parts.clock.monotonicMs() + LAG_EVERY_MS;
    this.#lagTimer = setInterval(() => {
      const nowMs = parts.clock.monotonicMs();
      lag.observe(Math.max(0, nowMs - dueMs) / 1000);
      dueMs = nowMs + LAG_EVERY_MS;
    }, LAG_EVERY_MS);
    this.#lagTimer.unref();
  }

  /** Newest first. */
  get recentErrors(): readonly RecentError[] {
    return this.#recentErrors;
  }

  connected(): void {
    this.#connections.value += 1;
  }

  disconnected(): void {
    this.#connections.value -= 1;
  }

  failed(exchange: Exchange, error: { code: string; message: string; httpStatus: number }): void {
    if (error.httpStatus < 500 || error.code === 'interrupted') return;
    const { code, message } = error;
    this.#recentErrors.unshift({
      atMs: this.#clock.nowMs(),
      requestId: exchange.id,
      route: exchange.route,
      code,
      message,
    });
    this.#recentErrors.length = Math.min(this.#recentErrors.length, RECENT_ERRORS_MAX);
  }

  brokenOff(by: 'client' | 'error' | 'stall' | 'shutdown'): void {
    this.#metrics.add('seekfs_http_aborted_total', 1, { by });
  }

  finished(exchange: Exchange): void {
    const { response, route } = exchange;
    const status = response.headersSent ? response.statusCode : 499;
    const elapsedMs = this.#clock.monotonicMs() - exchange.startedMs;
    this.#count(route, status).value += 1;
    this.#latency(route).observe(elapsedMs / 1000);
    this.#sentBytes.value += exchange.sentBytes;
    const isSlow = elapsedMs >= this.#requestLog.slowMs;
    if (!isSlow && status < 500 && !this.#requestLog.every) return;
    this.#log.log(isSlow || status >= 500 ? 'warn' : 'info', isSlow ? 'slow request' : 'request', {
      request_id: exchange.id,
      client: exchange.client,
      method: exchange.request.method ?? '',
      route,
      subject: exchange.subject,
      status,
      complete: response.writableFinished,
      bytes: exchange.sentBytes,
      elapsed_ms: Math.round(elapsedMs * 1000) / 1000,
    });
  }

  #count(route: string, status: number): Cell {
    let cells = this.#counts.get(route);
    if (!cells) this.#counts.set(route, (cells = new Map()));
    let cell = cells.get(status);
    if (!cell) {
      cell = this.#metrics.cell('seekfs_http_requests_total', { route, status: String(status) });
      cells.set(status, cell);
    }
    return cell;
  }

  #latency(route: string): Histogram {
    let histogram = this.#latencies.get(route);
    if (!histogram)
      this.#latencies.set(route, (histogram = this.#metrics.histogram('seekfs_http_request_seconds', { route })));
    return histogram;
  }

  close(): void {
    clearInterval(this.#lagTimer);
    this.#stopCollecting();
  }
}
