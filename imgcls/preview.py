"""``python -m imgcls.preview``: what the network will see, as a contact sheet.

For the training pictures these are the very ones that ``imgcls.train`` shows its network first in
that epoch, with the same configuration.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig

from imgcls.app.program import entry_point, output_directory
from imgcls.machine.files import atomic_write
from imgcls.machine.installation import require_paddle
from imgcls.run.logs import log, start_log

if TYPE_CHECKING:
    from imgcls.data.formats.samples import Samples


@entry_point("preview")
def main(config: DictConfig) -> None:
    require_paddle()
    from imgcls.app.callbacks import optional_callbacks
    from imgcls.app.data import make_loader, read_samples, training_transform
    from imgcls.app.pixels import channels_of, tell_channels, with_pixels
    from imgcls.app.source import preprocessing
    from imgcls.callbacks.viewer import first_images
    from imgcls.data.pictures.channels import as_rgb
    from imgcls.machine.device import select_device
    from imgcls.report.contact_sheet import contact_sheet
    from imgcls.report.fonts import font_file, labels_of

    config = with_pixels(config)
    settings = config.preview
    training = settings.split == "train"
    seen_as = preprocessing(config.transform, config.model)
    start_log()
    select_device(0)
    tell_channels(config.transform)
    channels = channels_of(config.transform)
    samples = read_samples(config.data, settings.split, config.model.num_classes, channels=channels)
    if not training:
        samples = _evenly_spaced(samples, settings.count)
    loader = make_loader(
        samples,
        training_transform(config.transform) if training else seen_as.transform(),
        config.data,
        size=config.transform.size,
        batch_size=config.trainer.batch_size,
        num_workers=0,
        seed=config.trainer.seed,
        shuffle=training,
    )
    seen = first_images(
        loader,
        seen_as.normalize,
        samples.num_classes,
        optional_callbacks(config.callbacks) if training else (),
        count=settings.count,
        epoch=settings.epoch,
        seed=config.trainer.seed,
        channels=channels.count,
    )
    pictures = [as_rgb(seen_as.denormalize(one.image)) for one in seen]
    path = output_directory() / "preview.png"
    shown = {label: samples.class_names[label] for one in seen for label, _ in one.shares}
    names = labels_of(shown, path.name, can_draw=font_file)
    captions = [_caption(one.shares, names) for one in seen]
    with atomic_write(path) as partial:
        contact_sheet(pictures, captions).save(partial, "PNG")
    log.info("%d %s pictures: %s", len(seen), settings.split, path)


def _evenly_spaced(samples: "Samples", count: int) -> "Samples":
    """Lists often have one class after the other: the first pictures would be of one class."""
    picked = np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int)
    return samples.subset(picked)


def _caption(shares: tuple[tuple[int, float], ...], class_names: Mapping[int, str]) -> list[str]:
    """The class name; of a mixed picture a line for each, with its share."""
    if len(shares) == 1:
        return [class_names[shares[0][0]]]
    return [f"{share:.2f} {class_names[label]}" for label, share in shares]


if __name__ == "__main__":
    main()
