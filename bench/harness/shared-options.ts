/** The command line of the benchmarks beside the comparison; `npm run bench` gives the same arguments to each. */
import { parseShared, type SharedOptions } from './options.ts';

/** Exit status of a wrong command line. */
export const USAGE_STATUS = 2;

/** Parses the arguments of this process; ends it with one line where they are wrong. */
export function sharedOptions(): SharedOptions {
  try {
    return parseShared(process.argv.slice(2));
  } catch (error) {
    console.error((error as Error).message);
    process.exit(USAGE_STATUS);
  }
}
