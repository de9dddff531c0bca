import type { Metrics } from '../../lib/adapters/metrics.ts';

/** What is down now. It does not change the status of `/readyz`: each review handles an outage by itself. */
export interface Outages {
  /** Metrics whose answers of the backup and the daemon are kept too. */
  readonly metrics: Metrics;
  /** One line; `undefined` without an outage. */
  describe(): string | undefined;
}

export function createOutages(metrics: Metrics, backupDomain: string): Outages {
  let isBackupUp = true;
  let isDaemonUp = true;
  return {
    metrics: {
      ...metrics,
      backupAnswered(isUp) {
        isBackupUp = isUp;
        metrics.backupAnswered(isUp);
      },
      daemonAnswered(isUp) {
        isDaemonUp = isUp;
        metrics.daemonAnswered(isUp);
      },
    },
    describe() {
      const outages = [
        isBackupUp
          ? []
          : `the backup registry ${backupDomain} gave no usable response to the last request`,
        isDaemonUp ? [] : 'the docker daemon did not answer the last ping',
      ].flat();
      return outages.length === 0 ? undefined : outages.join('; ');
    },
  };
}
