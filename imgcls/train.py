"""``python -m imgcls.train``: train a network, or go on with a run."""

from omegaconf import DictConfig, OmegaConf

from imgcls.config import entry_point
from imgcls.installation import require_paddle
from imgcls.logs import log, start_log, system_line


@entry_point("train")
def main(config: DictConfig) -> float | None:
    """Returns the best value of ``trainer.monitor``, for sweepers that optimise it."""
    require_paddle()
    import paddle

    from imgcls import assembly
    from imgcls.callbacks.checkpoint import restore
    from imgcls.device import select_device
    from imgcls.engine.amp import AmpSettings
    from imgcls.engine.trainer import Trainer
    from imgcls.freezing import freeze
    from imgcls.optim import OptimizerLR, build_optimizer
    from imgcls.resume import config_hash, require_same_run, write_texts
    from imgcls.run_directory import RunDirectory
    from imgcls.schedules import build_schedule

    settings = config.trainer
    start_log()
    select_device(settings.gpus, deterministic=settings.deterministic)
    train_samples = assembly.read_samples(config.data, "train", config.model.num_classes)
    class_names = train_samples.class_names
    val_samples = assembly.read_samples(config.data, "val", len(class_names), class_names)

    with RunDirectory(assembly.output_directory(), settings.resume, report=log.warning) as run:
        texts = {"config.yaml": OmegaConf.to_yaml(config), "classes.txt": "".join(f"{c}\n" for c in class_names)}
        if run.start_from:
            require_same_run(run.start_from, texts)
        write_texts(run.path, texts)
        start_log(run.path / "train.log")
        log.info(system_line(config_hash(config)))

        train_loader = assembly.make_loader(
            train_samples,
            assembly.picture_transform(config.transform, config.model, training=True),
            config.data,
            size=config.transform.size,
            batch_size=settings.batch_size,
            num_workers=settings.num_workers,
            seed=settings.seed,
            shuffle=True,
        )
        val_loader = assembly.make_loader(
            val_samples,
            assembly.picture_transform(config.transform, config.model, training=False),
            config.data,
            size=config.transform.size,
            batch_size=settings.eval_batch_size,
            num_workers=settings.num_workers,
        )
        log.info("%d training and %d validation pictures in %d classes", len(train_samples), len(val_samples), len(class_names))

        paddle.seed(settings.seed)  # what the weights do not fill
        network = assembly.build_network(config.model, len(class_names))
        frozen = freeze(network, config.model.freeze)
        schedule = build_schedule(
            base_lr=config.optimizer.lr,
            steps_per_epoch=len(train_loader),
            epochs=settings.epochs,
            **config.lr_schedule,
        )
        options = {key: value for key, value in config.optimizer.items() if key != "lr"}
        trainer = Trainer(
            network,
            assembly.preprocessing(config.transform),
            seed=settings.seed,
            accumulate=settings.accumulate,
            amp=AmpSettings(**settings.amp),
            frozen=frozen,
        )
        trainer.prepare(build_optimizer(network=network, lr=OptimizerLR(schedule), **options))
        callbacks = assembly.training_callbacks(config, run, val_loader, texts)
        if run.start_from:
            restore(run.start_from, trainer, callbacks)
            log.info("continuing from %s, after %d updates", run.start_from, trainer.progress.step)
        trainer.fit(train_loader, settings.epochs, callbacks)
        return assembly.finish(run, trainer, settings.monitor)


if __name__ == "__main__":
    main()
