// Copies texts.

/**
 * Copy a text, and say so on the button.
 *
 * @param {string} text
 * @param {HTMLButtonElement} button
 */
export async function copyText(text, button) {
  await write(text);
  button.textContent = "Copied";
  setTimeout(() => {
    button.textContent = "Copy";
  }, 1500);
}

/** @param {string} text */
async function write(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Pages of other machines that come without TLS have no clipboard but this.
  const place = document.createElement("textarea");
  place.value = text;
  place.className = "hidden";
  document.body.append(place);
  place.select();
  document.execCommand("copy");
  place.remove();
}
