import { type CloneError, isFailureOf } from '../../errors.ts';

/** Whether the backup as a whole does not answer, judged by the failures of its copies. */
export interface Outage {
  /** Receives the result of each check, in the order of their ends. */
  note(error: CloneError | undefined): void;
  isKnown(): boolean;
  /** One sentence for each kind of failure of the registry, instead of one for each copy. */
  messages(): readonly string[];
}

/** A registry that fails for so many copies in a row is at fault, and not the copies. */
const maxFailures = 3;

export function createOutage(): Outage {
  const messages = new Map<string, string>();
  let failures = 0;
  let isKnown = false;

  return {
    note(error) {
      if (!isFailureOf('backup', error, ['UNAVAILABLE', 'RATE_LIMITED', 'DENIED'])) {
        failures = 0;
        return;
      }
      failures += 1;
      isKnown ||= error.isUnreachable || failures >= maxFailures;
      if (!messages.has(error.code)) messages.set(error.code, error.message);
    },
    isKnown: () => isKnown,
    messages: () => [...messages.values()],
  };
}
