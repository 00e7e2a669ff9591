"""Lesson 09: 09_dino_data2vec."""
