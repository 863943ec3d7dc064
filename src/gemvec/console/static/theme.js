// Applies the chosen theme before anything is painted; a classic script, because modules run too late for that.
"use strict";
try {
  const chosen = localStorage.getItem("gemvec-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing gets the system's theme.
}
