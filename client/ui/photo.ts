/** The first picture among files that were dropped or pasted; the first file where none states that it is one. */
const firstPhoto = (files: FileList | undefined): File | undefined => {
  const all = [...(files ?? [])];
  return all.find((file) => file.type.startsWith('image/')) ?? all[0];
};

/** showPhoto: has `image` show the photo at `url`; resolves when it does, or with false where the browser cannot open it. */
export function showPhoto(image: HTMLImageElement, url: string): Promise<boolean> {
  image.src = url;
  return image.decode().then(
    () => true,
    () => false,
  );
}

/** onPhoto: calls `take` for a file that was chosen in one of the `inputs`, dropped anywhere on the page, or pasted. */
export function onPhoto(inputs: readonly HTMLInputElement[], take: (file: File) => void): void {
  const offer = (files: FileList | undefined): void => {
    const file = firstPhoto(files);
    if (file !== undefined) take(file);
  };
  for (const input of inputs) input.addEventListener('change', () => offer(input.files ?? undefined));
  document.addEventListener('paste', (event) => offer(event.clipboardData?.files));
  const dragging = (on: boolean) => (event: DragEvent) => {
    event.preventDefault(); // or the browser would leave the page to open the file
    document.body.classList.toggle('dragging', on);
  };
  document.addEventListener('dragover', dragging(true));
  document.addEventListener('dragleave', dragging(false));
  document.addEventListener('drop', (event) => {
    dragging(false)(event);
    offer(event.dataTransfer?.files);
  });
}
