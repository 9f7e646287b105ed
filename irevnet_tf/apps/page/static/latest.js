// Returns a function that runs the latest of its calls, one at a time: while
// one runs, a later one replaces those that wait.
export function latest(run) {
  let running = false;
  let waiting = false;
  return async () => {
    if (running) {
      waiting = true;
      return;
    }
    running = true;
    try {
      do {
        waiting = false;
        await run();
      } while (waiting);
    } finally {
      running = false;
    }
  };
}
