// Turn and turn about: A B A B …, so that a machine that is busy for a while is busy for both.
import { summary } from './statistics.js';

/**
 * @template Sample
 * @param {{ pairs: number, warmUps?: number }} options
 * @param {() => Promise<Sample>} runA
 * @param {() => Promise<Sample>} runB
 * @returns {Promise<{ a: Sample[], b: Sample[] }>} without the warm-ups
 */
export async function alternate(options, runA, runB) {
  const [a, b] = [[], []];
  for (let round = -(options.warmUps ?? 1); round < options.pairs; round += 1) {
    const first = await runA();
    const second = await runB();
    if (round < 0) continue;
    a.push(first);
    b.push(second);
  }
  return { a, b };
}

/**
 * The ratio of each pair, summed up: valueOf(a) / valueOf(b).
 * @template Sample
 * @param {{ a: Sample[], b: Sample[] }} pairs
 * @param {(sample: Sample) => number} valueOf
 */
export function ratioOf(pairs, valueOf) {
  return summary(pairs.a.map((sample, index) => valueOf(sample) / valueOf(pairs.b[index])));
}
