/** Bounds the work of all its users in one turn of the event loop, so that requests do not wait for it. */
export interface TurnBudget {
  /** Resolves when the turn has room for that much work: in this turn if it has, else in the order of the calls. */
  spend(amount: number): Promise<void>;
}

export interface TurnBudgetOptions {
  /** Per turn. The last work of a turn may exceed it. */
  readonly max: number;
  /** Calls back in the next turn of the event loop. @default setImmediate */
  readonly onNextTurn?: (callback: () => void) => void;
}

export function createTurnBudget({
  max,
  onNextTurn = (callback) => void setImmediate(callback),
}: TurnBudgetOptions): TurnBudget {
  const waiting: { readonly amount: number; readonly resolve: () => void }[] = [];
  let spent = 0;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    onNextTurn(beginTurn);
  }

  function beginTurn(): void {
    isScheduled = false;
    spent = 0;
    while (spent < max) {
      const next = waiting.shift();
      if (next === undefined) return;
      spent += next.amount;
      schedule();
      next.resolve();
    }
  }

  return {
    async spend(amount) {
      schedule();
      if (waiting.length === 0 && spent < max) {
        spent += amount;
        return;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push({ amount, resolve });
      await promise;
    },
  };
}
