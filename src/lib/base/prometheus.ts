// The Prometheus text format of metric samples, and their sum over several processes. Pure; for GET /metrics.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4)
import { METRIC_TABLE, type Labels, type MetricName, type MetricSample } from './metrics.ts';

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

function encodeLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    const escaped = value
      .replaceAll('\\', String.raw`\\`)
      .replaceAll('"', String.raw`\"`)
      .replaceAll('\n', String.raw`\n`);
    return `${name}="${escaped}"`;
  });
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function encodeSample({ name, labels, value, counts, sum }: MetricSample): string[] {
  if (!counts) return [`${name}${encodeLabels(labels)} ${value}`];
  const { buckets } = METRIC_TABLE[name];
  let total = 0;
  const lines = counts.map((count, index) => {
    total += count;
    const bound = index < buckets.length ? String(buckets[index]) : '+Inf';
    return `${name}_bucket${encodeLabels({ ...labels, le: bound })} ${total}`;
  });
  return [...lines, `${name}_sum${encodeLabels(labels)} ${sum}`, `${name}_count${encodeLabels(labels)} ${total}`];
}

/** Each metric once, in the order of the table, with its help and type, then its series. */
export function encodePrometheus(samples: readonly MetricSample[]): string {
  const lines: string[] = [];
  for (const name of Object.keys(METRIC_TABLE) as MetricName[]) {
    const own = samples.filter((sample) => sample.name === name);
    if (own.length === 0) continue;
    const { help, kind } = METRIC_TABLE[name];
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...own.flatMap((sample) => encodeSample(sample)));
  }
  return `${lines.join('\n')}\n`;
}

/** The series of several registries added up: counters, gauges of bytes and counts, and histograms alike. */
export function sumSamples(registries: readonly (readonly MetricSample[])[]): MetricSample[] {
  const sums = new Map<string, MetricSample>();
  for (const sample of registries.flat()) {
    const key = sample.name + encodeLabels(sample.labels);
    const before = sums.get(key);
    sums.set(key, before ? add(before, sample) : sample);
  }
  return [...sums.values()];
}

function add(a: MetricSample, b: MetricSample): MetricSample {
  const { name, labels } = a;
  if (name === 'seekfs_process_start_time_seconds') return { name, labels, value: Math.min(a.value!, b.value!) };
  if (!a.counts) return { name, labels, value: a.value! + b.value! };
  return { name, labels, counts: a.counts.map((count, index) => count + b.counts![index]!), sum: a.sum! + b.sum! };
}
