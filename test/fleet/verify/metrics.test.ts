import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatMetrics } from '../../../lib/fleet/verify/index.ts';
import { storedWorkload } from '../../support/fake-store.ts';

describe('formatMetrics', () => {
  it('counts workloads and images without their names', () => {
    const stored = storedWorkload('deployments', { metadata: { name: 'web', namespace: 'shop' } });
    const image = { stored, label: 'container "main"', image: 'acme/nginx:1.27' };

    const text = formatMetrics(
      {
        images: [
          { ...image, state: 'absent', what: 'gone' },
          { ...image, state: 'whole', what: 'whole', source: 'same' },
        ],
        workloads: { starts: 117, fails: 3, unknown: 0, skipped: 2 },
        problems: [],
      },
      new Date('2026-12-01T00:00:00.600Z'),
    );

    assert.equal(
      text,
      `# HELP image_cloner_verify_workloads Workloads by whether they would start without any public registry.
# TYPE image_cloner_verify_workloads gauge
image_cloner_verify_workloads{verdict="starts"} 117
image_cloner_verify_workloads{verdict="fails"} 3
image_cloner_verify_workloads{verdict="unknown"} 0
image_cloner_verify_workloads{verdict="skipped"} 2
# HELP image_cloner_verify_images Images of workloads by what the backup has.
# TYPE image_cloner_verify_images gauge
image_cloner_verify_images{state="whole"} 1
image_cloner_verify_images{state="incomplete"} 0
image_cloner_verify_images{state="absent"} 1
image_cloner_verify_images{state="outside"} 0
image_cloner_verify_images{state="denied"} 0
image_cloner_verify_images{state="unchecked"} 0
image_cloner_verify_images{state="left"} 0
# HELP image_cloner_verify_timestamp_seconds When the last verification ended.
# TYPE image_cloner_verify_timestamp_seconds gauge
image_cloner_verify_timestamp_seconds 1796083201
`,
    );
  });
});
