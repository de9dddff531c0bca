import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createProgressDisplay } from '../../../../functions/shared/terminal/progress-display.ts';

const mebibyte = 1024 * 1024;

function open(columns?: number): {
  readonly display: ReturnType<typeof createProgressDisplay>;
  readonly text: () => string;
  readonly pass: (ms: number) => void;
} {
  let clock = 0;
  let text = '';
  const display = createProgressDisplay({
    write: (more) => {
      text += more;
    },
    columns,
    now: () => clock,
  });
  return {
    display,
    text: () => text,
    pass: (ms) => {
      clock += ms;
    },
  };
}

const half = { phase: 'copy', doneBytes: 8 * mebibyte, totalBytes: 16 * mebibyte } as const;

describe('createProgressDisplay', () => {
  it('prints progress every five seconds in a pipe, without control characters', () => {
    const { display, text, pass } = open();

    display.progress('nginx:1.27', half);
    pass(4_999);
    display.progress('nginx:1.27', half);
    pass(1);
    display.progress('nginx:1.27', half);
    display.print('evil\u001b[2Jname: copied');
    display.remove('nginx:1.27');

    assert.equal(text(), 'nginx:1.27: 50 %, 8.0 of 16 MiB\nevil [2Jname: copied\n');
  });

  it('redraws progress bars in place on a terminal, no wider than its columns', () => {
    const { display, text, pass } = open(58);

    display.progress('nginx:1.27', half);
    pass(200);
    display.progress('nginx:1.27', { phase: 'push', doneBytes: 16_384, totalBytes: 16_384 });

    const [, first = '', second = ''] = text().split('\u001b[J');
    assert.equal(first, '[############............] nginx:1.27: 50 %, 8.0 of 16 Mi\n\u001b[1A\r');
    assert.equal(second, '[########################] nginx:1.27: 100 %, 16 of 16 Ki\n');
  });

  it('prints lines above the progress bars', () => {
    const { display, text } = open(80);

    display.progress('a', half);
    display.print('b: copied');
    display.remove('a');

    const frames = text().split('\u001b[J');
    assert.equal(
      frames[2],
      'b: copied\n[############............] a: 50 %, 8.0 of 16 MiB\n\u001b[1A\r',
    );
    assert.equal(frames[3], '');
  });
});
