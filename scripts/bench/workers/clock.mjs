// Moves the time that a worker sees, so that hours need not be waited for. Never measured.
const real = Date.now.bind(Date);
let ahead = 0;
Date.now = () => real() + ahead;

/** From now on the worker's clock is so many milliseconds ahead of the machine's. */
export const setAhead = (millis) => {
  ahead = millis;
};

/** A moment of the worker's clock as the machine's. */
export const realTime = (at) => Number(at) - ahead;
