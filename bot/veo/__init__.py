"""The video API: polling a task, reading the reply, downloading the video."""
