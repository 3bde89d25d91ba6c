// Numbers as people read them.

const round = (value, digits) => value.toLocaleString('en', { maximumFractionDigits: digits });

/** Three significant digits at most, and no more decimals than make sense. */
export function number(value) {
  if (value >= 100) return round(value, 0);
  if (value >= 10) return round(value, value % 1 < 0.05 ? 0 : 1);
  if (value >= 1) return round(value, 1);
  return round(value, value >= 0.1 ? 1 : 2);
}

export const perSecond = (value) => (value > 0 && value < 0.01 ? '<0.01/s' : `${number(value)}/s`);

export function share(value) {
  const percent = value * 100;
  if (percent > 0 && percent < 0.1) return '<0.1 %';
  if (percent < 100 && percent > 99.9) return '>99.9 %';
  return `${round(percent, percent < 10 ? 1 : 0)} %`;
}

export function duration(milliseconds) {
  if (milliseconds >= 10000) return `${round(milliseconds / 1000, 0)} s`;
  if (milliseconds >= 1000) return `${round(milliseconds / 1000, 1)} s`;
  return `${milliseconds >= 10 ? round(milliseconds, 0) : number(milliseconds)} ms`;
}

export function bytes(perSecondValue) {
  let value = perSecondValue;
  let unit = 0;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? round(value, 0) : number(value)} ${units[unit]}/s`;
}
