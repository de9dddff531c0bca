import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createOutages, type Outages } from '../../../functions/webhook/outages.ts';
import { createMetrics } from '../../../lib/adapters/metrics.ts';

function create(): Outages {
  const copies = (): { running: number; waiting: number } => ({ running: 0, waiting: 0 });
  return createOutages(createMetrics({ adapter: 'docker', copies }), 'backup.test');
}

const backupDown = 'the backup registry backup.test gave no usable response to the last request';
const daemonDown = 'the docker daemon did not answer the last ping';

describe('createOutages', () => {
  it('describes no outage before the first answer of the backup and the docker daemon', () => {
    assert.equal(create().describe(), undefined);
  });

  const cases: readonly (readonly [backup: boolean, daemon: boolean, line: string | undefined])[] =
    [
      [true, true, undefined],
      [false, true, backupDown],
      [true, false, daemonDown],
      [false, false, `${backupDown}; ${daemonDown}`],
    ];
  for (const [isBackupUp, isDaemonUp, line] of cases) {
    it(`describes a backup that is ${isBackupUp ? 'up' : 'down'} and a docker daemon that is ${isDaemonUp ? 'up' : 'down'} in one line`, async () => {
      const outages = create();

      outages.metrics.backupAnswered(isBackupUp);
      outages.metrics.daemonAnswered(isDaemonUp);

      assert.equal(outages.describe(), line);
      const text = await outages.metrics.render();
      assert.match(text, new RegExp(`^image_cloner_backup_up ${isBackupUp ? 1 : 0}$`, 'm'));
      assert.match(text, new RegExp(`^image_cloner_daemon_up ${isDaemonUp ? 1 : 0}$`, 'm'));
    });
  }

  it('describes no outage any more when the docker daemon is back', () => {
    const outages = create();

    outages.metrics.daemonAnswered(false);
    outages.metrics.daemonAnswered(true);

    assert.equal(outages.describe(), undefined);
  });
});
