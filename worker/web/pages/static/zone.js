// Tells the server the browser's time zone, before the page is drawn. What the server has counted by another zone stays
// hidden until learning.js has fetched it again, or for some seconds.
{
  const LONGEST_MS = 5000;
  const zone = `progress-zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
  const isKnown = () => document.cookie.split("; ").includes(zone);
  if (!isKnown()) {
    document.cookie = `${zone}; path=/; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
    const shown = document.documentElement.classList;
    if (isKnown()) shown.add("other-zone");
    setTimeout(() => shown.remove("other-zone"), LONGEST_MS);
  }
}
