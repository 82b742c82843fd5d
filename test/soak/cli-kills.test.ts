// The test of killed commands at length.
import { describeKills } from '../support/cli-kills.ts';

describeKills(60);
