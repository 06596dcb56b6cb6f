"use strict";
// Two pictures that move together: a volume of the sample, and the mean of the others.
(async () => {
  const SLICES = { axial: 0, coronal: 1, sagittal: 2, planes: 3, depth: 4 };
  const OPTIONS = {
    backColor: [0, 0, 0, 1],
    crosshairColor: [1, 0.6, 0.35, 1],
    dragAndDropEnabled: false,
    isRadiologicalConvention: false,
    loadingText: "",
    logLevel: "error",
    multiplanarShowRender: 1,
    show3Dcrosshair: true,
  };
  const element = (id) => document.getElementById(id);
  const { volumes } = JSON.parse(element("content").textContent);
  const viewers = {};

  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  async function addViewer(name) {
    const viewer = new niivue.Niivue(OPTIONS);
    viewer.onLocationChange = (location) => showLocation(name, location);
    await viewer.attachToCanvas(element(name));
    viewers[name] = viewer;
  }

  function showLocation(name, location) {
    const value = location.values[0];
    element(`${name}-value`).textContent = value ? value.value.toFixed(3) : "";
    const [x, y, z] = Array.from(location.mm, (coordinate) => coordinate.toFixed(1));
    element("position").textContent = `Crosshair at ${x}, ${y}, ${z} mm (right, anterior, superior)`;
  }

  async function showVolume(name, text) {
    const viewer = viewers[name];
    while (viewer.volumes.length) viewer.removeVolumeByIndex(0);
    await viewer.loadFromArrayBuffer(bytesOf(text), `${name}.nii.gz`);
    resetContrast(viewer);
  }

  function resetContrast(viewer) {
    Object.assign(viewer.volumes[0], { cal_min: 0, cal_max: 1 });
    viewer.updateGLVolume();
  }

  async function showModality() {
    const volume = volumes[Number(element("modality").value)];
    element("beside").hidden = volume.mean === null;
    element("mean-title").textContent = `Mean of ${volume.num_averaged} samples`;
    await showVolume("sample", volume.sample);
    if (volume.mean !== null) await showVolume("mean", volume.mean);
    showView();
  }

  function showView() {
    for (const viewer of Object.values(viewers)) {
      viewer.setInterpolation(!element("smooth").checked);
      viewer.setCrosshairWidth(element("crosshair").checked ? 1 : 0);
      viewer.setSliceType(SLICES[element("view").value]);
    }
  }

  function reset() {
    for (const viewer of Object.values(viewers)) {
      if (!viewer.volumes.length) continue;
      viewer.setPan2Dxyzmm([0, 0, 0, 1]);
      viewer.scene.crosshairPos = [0.5, 0.5, 0.5];
      viewer.setRenderAzimuthElevation(110, 10);
      resetContrast(viewer);
      viewer.createOnLocationChange();
    }
  }

  volumes.forEach((volume, index) => element("modality").add(new Option(volume.title, index)));
  try {
    await addViewer("sample");
    await addViewer("mean");
  } catch {
    element("failure").textContent = "This browser cannot draw volumes: WebGL 2 is switched off or not there.";
    element("failure").hidden = false;
    return;
  }
  const together = { "2d": true, "3d": true };
  viewers.sample.broadcastTo([viewers.mean], together);
  viewers.mean.broadcastTo([viewers.sample], together);
  element("modality").addEventListener("change", showModality);
  for (const id of ["view", "crosshair", "smooth"]) element(id).addEventListener("change", showView);
  element("reset").addEventListener("click", reset);
  await showModality();
  reset();
  document.body.dataset.ready = "yes";
})();
