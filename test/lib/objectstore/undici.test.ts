import { describe } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { systemRandom } from '../../../src/lib/base/random.ts';
import { RequestCounter } from '../../../src/lib/objectstore/request-counter.ts';
import { SdkObjectStore } from '../../../src/lib/objectstore/sdk.ts';
import { UndiciObjectStore } from '../../../src/lib/objectstore/undici.ts';
import { describeObjectStore } from '../../support/object-store-conformance.ts';
import { freshBucket, peerOptions, s3Peer } from '../../support/peers.ts';

const peer = await s3Peer();

describe.skipIf(!peer)(`undici engine on ${peer?.name}`, () => {
  describeObjectStore('undici', {
    open: async () => {
      const s3 = peerOptions(peer!, await freshBucket(peer!, 'undici'));
      const counter = new RequestCounter(new Metrics());
      const partRetries = { attemptsMax: 3, initialBackoffMs: 10, clock: systemClock, random: systemRandom };
      const sdk = new SdkObjectStore({ s3, counter, partRetries });
      return new UndiciObjectStore({ s3, counter, clock: systemClock, sdk });
    },
    presign: 'url',
  });
});
