import type { BackupState, Verification } from './verification.ts';

const states: readonly BackupState[] = [
  'whole',
  'incomplete',
  'absent',
  'outside',
  'denied',
  'unchecked',
  'left',
];

/** In the text format of Prometheus, for the textfile collector of node-exporter. `at` is the end of the run. */
export function formatMetrics({ workloads, images }: Verification, at: Date): string {
  const lines = [
    ...toMetric(
      'workloads',
      'Workloads by whether they would start without any public registry.',
      Object.entries(workloads).map(([verdict, value]) => [`{verdict="${verdict}"}`, value]),
    ),
    ...toMetric(
      'images',
      'Images of workloads by what the backup has.',
      states.map((state) => [
        `{state="${state}"}`,
        images.filter((image) => image.state === state).length,
      ]),
    ),
    ...toMetric('timestamp_seconds', 'When the last verification ended.', [
      ['', Math.round(at.getTime() / 1_000)],
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

function toMetric(
  name: string,
  help: string,
  samples: readonly (readonly [labels: string, value: number])[],
): readonly string[] {
  const full = `image_cloner_verify_${name}`;
  return [
    `# HELP ${full} ${help}`,
    `# TYPE ${full} gauge`,
    ...samples.map(([labels, value]) => `${full}${labels} ${value}`),
  ];
}
