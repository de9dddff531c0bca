import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLogOutput } from '../../../functions/webhook/log-output.ts';

describe('createLogOutput', () => {
  function open(): ReturnType<typeof createLogOutput> & {
    readonly written: string[];
    readonly endTurn: () => void;
  } {
    const written: string[] = [];
    const turn: (() => void)[] = [];
    const stream = { write: (text: string) => written.push(text) };
    const output = createLogOutput(stream, (work) => turn.push(work));
    const endTurn = (): void => {
      for (const work of turn.splice(0)) work();
    };
    return { ...output, written, endTurn };
  }

  it('writes the log lines of one turn of the event loop at once, in their order', () => {
    const { write, written, endTurn } = open();

    write('one\n');
    write('two\n');
    endTurn();
    write('three\n');
    endTurn();

    assert.deepEqual(written, ['one\ntwo\n', 'three\n']);
  });

  it('writes log lines at once when it is flushed, and only once', () => {
    const { write, flush, written, endTurn } = open();

    write('last\n');
    flush();
    flush();
    endTurn();

    assert.deepEqual(written, ['last\n']);
  });
});
