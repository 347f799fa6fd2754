"""The console: pages for people, plain HTML, CSS and ES modules that the server carries itself."""
