// Times as ISO 8601 writes them, in the time zone of the browser.

const two = (n) => String(n).padStart(2, "0");

// stamp writes a date and a time: 2026-11-30 13:05:12.
export function stamp(time) {
  const t = new Date(time);
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

// zone writes how far the clock of the browser is from UTC: UTC+01:00.
export function zone(time = Date.now()) {
  const minutes = -new Date(time).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  return `UTC${minutes < 0 ? "-" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

// zoned is stamp with zone.
export function zoned(time) {
  return `${stamp(time)} ${zone(time)}`;
}
