// Asks again and again while somebody looks.

/**
 * Make a loop that runs `work`, waits for as long as it says, and runs it again; only while the tab is in view.
 *
 * @param {() => Promise<number>} work returns the milliseconds until it is run again
 */
export function createLoop(work) {
  let timer = 0;
  let round = 0;
  let isOn = false;

  async function run() {
    clearTimeout(timer);
    round += 1;
    const mine = round;
    const wait = document.hidden ? 1000 : await work();
    if (isOn && mine === round) timer = setTimeout(run, wait);
  }

  return {
    /** Run at once, and from then on. */
    start() {
      isOn = true;
      return run();
    },
    stop() {
      isOn = false;
      clearTimeout(timer);
    },
  };
}
