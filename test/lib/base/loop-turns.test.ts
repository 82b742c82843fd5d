import { expect, test } from 'vitest';
import { LoopTurns } from '../../../src/lib/base/loop-turns.ts';

test('so many steps are done in one turn of the event loop, in the order in which they were asked for', async () => {
  const turns = new LoopTurns({ stepsPerTurn: 3 });
  let turn = 0;
  let isOver = false;
  const steps: string[] = [];
  const turnOf = new Map<string, number>();
  const work = Array.from({ length: 7 }, async (_, worker) => {
    for (let step = 0; step < 3; step += 1) {
      await turns.next();
      const name = `${step}${worker}`;
      steps.push(name);
      turnOf.set(name, turn);
    }
  });
  const count = (): void => {
    turn += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await Promise.all(work);
  isOver = true;
  expect(steps).toEqual([...steps].sort());
  const perTurn = new Map<number, number>();
  for (const of of turnOf.values()) perTurn.set(of, (perTurn.get(of) ?? 0) + 1);
  expect([...perTurn.values()]).toEqual([3, 3, 3, 3, 3, 3, 3]);
});

test('a caller that is alone has a turn of the event loop too', async () => {
  const turns = new LoopTurns({ stepsPerTurn: 3 });
  for (let step = 0; step < 5; step += 1) {
    let hasTurned = false;
    setImmediate(() => (hasTurned = true));
    await turns.next();
    expect(hasTurned).toBe(true);
  }
});
