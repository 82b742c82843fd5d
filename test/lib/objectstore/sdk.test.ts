import { describe } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { systemRandom } from '../../../src/lib/base/random.ts';
import { RequestCounter } from '../../../src/lib/objectstore/request-counter.ts';
import { SdkObjectStore } from '../../../src/lib/objectstore/sdk.ts';
import { describeObjectStore } from '../../support/object-store-conformance.ts';
import { freshBucket, peerOptions, s3Peer } from '../../support/peers.ts';

const peer = await s3Peer();

describe.skipIf(!peer)(`sdk engine on ${peer?.name}`, () => {
  describeObjectStore('sdk', {
    open: async () =>
      new SdkObjectStore({
        s3: peerOptions(peer!, await freshBucket(peer!, 'sdk')),
        counter: new RequestCounter(new Metrics()),
        partRetries: { attemptsMax: 3, initialBackoffMs: 10, clock: systemClock, random: systemRandom },
      }),
    presign: 'url',
  });
});
