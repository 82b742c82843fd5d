// The seed of a random test: SEEKFS_SEED=N asks for one, SEEKFS_SEED=random for a new one each time.

export function askedSeed(otherwise: number | 'random'): number {
  const asked = process.env['SEEKFS_SEED'] ?? otherwise;
  return asked === 'random' ? Math.floor(Math.random() * 2 ** 31) : Number(asked);
}
