// SIGKILL at random moments of the commands that write: nothing half-written is ever visible, and the next command works.
// The same at length: test/soak/cli-kills.test.ts.
import { describeKills } from '../support/cli-kills.ts';

describeKills(3);
